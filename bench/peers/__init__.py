"""Consumers of other libraries, doing the same work (`./dev bench sink --peers`).

Each reads batches as its documentation advises, decodes them with our codec, and calls the same
`ventas.libro.registrar` in one transaction: rows once, weeks locked, voids applied. Then it commits
its offsets to Kafka. It has no offsets in the database, no fencing and no dead letters.
"""

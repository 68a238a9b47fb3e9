"""Carts: what they hold, notices that an ingredient ran out, and restocks.

`inventario` and `reposicion` move stock, and only `movimientos` writes it. `avisos` raises and
receives notices, `reposicion` decides them, and `notice_rows` has their SQL.
"""

"""The rights in Kafka that each process needs, and no others.

`table` derives them from the registered events and consumers. `acls` compares them with the rules
on the brokers, and adds what is missing. `manage.py kafka_rights` uses both.
"""

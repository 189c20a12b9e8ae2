"""Kafka as divrec uses it: clients, readers outside of a group, and what Faust and aiokafka need overridden."""

"""FlowForge on servers of yours: the image, the compose file, the chart, and what prepares Postgres and NATS for them.

Every process of a deployment is the same image with another command; what each gets is written in `processes.py`, and the
tests hold the compose file and the chart against it.
"""

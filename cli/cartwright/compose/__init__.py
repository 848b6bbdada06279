"""What the system under Docker Compose is made of beside its images: secrets, and the gateway's configuration.

It never starts or stops anything: that is Compose's part.
"""

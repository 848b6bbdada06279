"""HTTP: the application that every service is, and the client by which a service calls another."""

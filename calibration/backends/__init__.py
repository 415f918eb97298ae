"""What runs a model so that it can be timed: a framework on a device, each imported only when it is asked for."""

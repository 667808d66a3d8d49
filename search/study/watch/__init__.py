"""What goes on while a stage trains: trials that hang, nodes that come and go, what a trial waits for."""

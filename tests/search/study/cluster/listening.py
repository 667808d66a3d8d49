"""On a machine of a cluster: the ports that listen to other machines."""

import socket

import psutil

for connection in psutil.net_connections("tcp"):
    here = connection.laddr.ip.removeprefix("::ffff:").startswith("127.") or connection.laddr.ip == "::1"
    if connection.status == psutil.CONN_LISTEN and not here:
        print("listens:", socket.gethostname(), connection.laddr.port)

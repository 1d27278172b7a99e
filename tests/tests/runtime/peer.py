"""peer.py serve NAME PORT [ADDRESS]: answers over TCP and UDP with its name and the address of who asks.
peer.py ask tcp|udp ADDRESS PORT: prints such an answer."""
import socket, sys, threading

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def answer_for(peer):
    return f"{sys.argv[2]} {peer[0].removeprefix('::ffff:')}".encode()


def listen(kind):
    address = sys.argv[4] if len(sys.argv) > 4 else "::"
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, KINDS[kind])
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind((address, int(sys.argv[3])))
    if kind == "tcp":
        listener.listen(16)
    return listener


def serve_tcp(listener):
    while True:
        connection, peer = listener.accept()
        connection.sendall(answer_for(peer))
        connection.close()


def serve_udp(listener):
    while True:
        _, peer = listener.recvfrom(64)
        listener.sendto(answer_for(peer), peer)


if sys.argv[1] == "serve":
    tcp, udp = listen("tcp"), listen("udp")
    print("up", flush=True)
    threading.Thread(target=serve_tcp, args=[tcp], daemon=True).start()
    serve_udp(udp)
else:
    kind, address, port = sys.argv[2:5]
    asking = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, KINDS[kind])
    asking.settimeout(2)
    asking.connect((address, int(port)))
    if kind == "udp":
        asking.send(b"?")
    print(asking.recv(64).decode(), end="")

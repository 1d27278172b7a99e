"""Answers one seccomp notification after the other: every call gets EADDRNOTAVAIL.

supervisor.py SOCKET: listens there, prints `listening`, then for each connection the message that it got and `answered`
when a call was answered.
"""
import errno, fcntl, os, select, socket, struct, sys

RECV, SEND = 0xC0502100, 0xC0182101
server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
server.bind(sys.argv[1])
server.listen()
print("listening", flush=True)
poll, listeners = select.poll(), {}
poll.register(server, select.POLLIN)
while True:
    for fd, events in poll.poll():
        if fd == server.fileno():
            connection, _ = server.accept()
            message, fds, _, _ = socket.recv_fds(connection, 65536, 4)
            print(len(fds), message.decode(), flush=True)
            for received in fds:
                poll.register(received, select.POLLIN)
        elif events & select.POLLIN:
            request = bytearray(80)
            try:
                fcntl.ioctl(fd, RECV, request, True)
            except FileNotFoundError:
                continue
            number = struct.unpack_from("Q", request)[0]
            fcntl.ioctl(fd, SEND, struct.pack("QqiI", number, 0, -errno.EADDRNOTAVAIL, 0))
            print("answered", flush=True)
        else:
            poll.unregister(fd)
            os.close(fd)

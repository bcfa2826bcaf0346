"""A bridge: ClickHouse's native TCP protocol in front of chDB, so that the server store meets a real engine through its
real driver where no server is installed. It is a door, not an engine: what a query means, and what is wrong with it,
chDB says.

    columns.py    one column after another is copied from a stream to a stream, whatever its type
    wire.py       packets: what a client sends, what a server sends
    engine.py     statements and blocks to chDB
    session.py    one connection's conversation
    __main__.py   the process: listens, greets, ends when its standard input closes
    process.py    how tests start one, stop it, and take its rights away

chDB knows one engine per process and one folder per engine, hence a process of its own. The bytes of columns pass
through unread, but for lengths: the bridge shares no (de)serialiser with the driver that it is to judge, only its
buffered streams.

Formats: src/Core/Protocol.h, src/Server/TCPHandler.cpp and src/Formats/NativeReader.cpp of ClickHouse.
"""

"""ClickHouse's HTTP interface to the embedded store, for reading: what curl, Grafana, DBeaver and drivers speak.

    server   listens, bounds connections     wire     HTTP/1.1 from and to bytes
    desk     one request to one response     asked    which question a request asks
    users    who may ask                     attempts how often a wrong password may be tried
    replies  errors, types and headers as ClickHouse gives them

After https://clickhouse.com/docs/interfaces/http. A server store has such an interface of its own.
"""

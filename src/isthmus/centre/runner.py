"""Runs in the environment of Spark or of Sail, not in ours: asks what it is told, line by line.

Standard input: first {"kind", "master", "settings"}, then questions {"views", "tables", "sql", "answer"}, each
one line of JSON. Standard output: for each line {"rows"} or {"error"}. Tables and answers are Arrow files.
It may import nothing of Isthmus: the two clients refuse each other, so each has its own environment.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "16",
    # What a vanished worker was doing is done again by another one, as often as this.
    "spark.task.maxFailures": "8",
    "spark.ui.enabled": "false",
}
TYPES = {"int32": "INT", "int64": "BIGINT", "double": "DOUBLE", "string": "STRING"}
SCHEMA = "tag INT, time TIMESTAMP, i BIGINT, e TINYINT, f DOUBLE, s STRING, q INT"


def main() -> None:
    """Answer until standard input ends."""
    # Whatever the engine prints goes to the log; only answers go where answers are read.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    session: Any = None
    server: Any = None
    reply: dict[str, object]
    for line in sys.stdin:
        told = json.loads(line)
        try:
            if session is None:
                server = _serve() if told["kind"] == "sail" and not told["master"] else None
                session = _open(told, server)
                reply = {"rows": 0}
            else:
                reply = {"rows": _ask(session, told)}
        except Exception as error:  # noqa: BLE001  the one runner: whatever an engine raises is a sentence for who asked
            sys.stderr.write(f"{error}\n")
            reply = {"error": f"{type(error).__name__}: {str(error)[:2000]}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()
    if session is not None and server is None:
        session.stop()
    # A Sail server's threads would keep this process alive for ever.
    os._exit(0)


def _serve() -> Any:  # noqa: ANN401  pysail is not in our environment
    """A Sail server in this process; it ends when nobody refers to it any more."""
    from pysail.spark import SparkConnectServer  # noqa: PLC0415  only where it is installed

    server = SparkConnectServer()
    server.start()
    return server


def _open(told: dict[str, Any], server: Any) -> Any:  # noqa: ANN401  as above
    from pyspark.sql import SparkSession  # noqa: PLC0415  as above

    master = told["master"]
    if told["kind"] == "sail":
        if server is not None:
            master = "sc://{}:{}".format(*server.listening_address)
        session = SparkSession.builder.remote(master).getOrCreate()
        session.conf.set("spark.sql.session.timeZone", "UTC")
        return session
    builder = SparkSession.builder.master(master or "local[*]").appName("isthmus centre")
    for key, value in {**SETTINGS, **told["settings"]}.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def _ask(session: Any, told: dict[str, Any]) -> int:  # noqa: ANN401  as above
    import pyarrow as pa  # noqa: PLC0415  that of the engine's environment

    for name, path in told["tables"].items():
        with pa.OSFile(path, "rb") as source:
            table = pa.ipc.open_file(source).read_all()
        frame = session.createDataFrame(table) if table.num_rows else session.sql(_nothing(table.schema))
        frame.createOrReplaceTempView(name)
    for name, files in told["views"].items():
        session.read.schema(SCHEMA).parquet(*files).createOrReplaceTempView(name)
    table = session.sql(told["sql"]).toArrow()
    with pa.OSFile(told["answer"], "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return int(table.num_rows)


def _nothing(schema: Any) -> str:  # noqa: ANN401  as above
    """No rows of these columns: a client refuses to make a view of an empty table."""
    columns = ", ".join(f"cast(NULL AS {TYPES[str(field.type)]}) AS {field.name}" for field in schema)
    return f"SELECT {columns} WHERE false"


if __name__ == "__main__":
    main()

"""``script/bench WHAT``: one line of JSON on standard output, the rest on standard error."""

import argparse
import json
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(prog="script/bench", description="Measure the real path on this machine.")
    what = parser.add_subparsers(dest="what", required=True)
    send = what.add_parser("send", help="a campaign through workers, PostgreSQL and Redis to a sink, and the raw limit")
    send.add_argument("--recipients", type=int, default=50_000)
    send.add_argument("--processes", type=int, default=3, help="sender processes (default: %(default)s)")
    send.add_argument("--threads", type=int, default=1, help="threads of each (default: %(default)s)")
    send.add_argument("--connections", type=int, default=2, help="connections of each thread (default: %(default)s)")
    audience = what.add_parser("audience", help="freezing a campaign's recipients")
    audience.add_argument("--recipients", type=int, default=1_000_000)
    track = what.add_parser("track", help="opens and clicks over HTTP, until they stand in the database")
    track.add_argument("--seconds", type=float, default=20)
    cluster = what.add_parser("cluster", help="three hosts, a killed dispatcher, a cut cable (needs root and iproute2)")
    cluster.add_argument("--recipients", type=int, default=20_000)
    pages = what.add_parser("pages", help="how long pages take with so many deliveries stored")
    pages.add_argument("--deliveries", type=int, default=2_000_000)
    pages.add_argument("--contacts", type=int, default=1_000_000)
    plot = what.add_parser("plot", help="the lines that `send` printed for several sizes, as a picture")
    plot.add_argument("lines", type=Path, help="file with a line for each run, for example docs/figures/send.jsonl")
    plot.add_argument("out", type=Path, help="the SVG file to write")
    options = parser.parse_args()
    print(json.dumps(measure(options)))
    return 0


def measure(options: argparse.Namespace) -> dict[str, object]:
    if options.what == "send":
        from ops.bench import send

        return send.run(options.recipients, shape=send.Shape(options.processes, options.threads, options.connections))
    if options.what == "track":
        from ops.bench import track

        return track.run(options.seconds)
    if options.what == "cluster":
        from ops.bench import cluster

        return cluster.run(options.recipients)
    if options.what == "plot":
        from ops.bench import plot

        return plot.run(options.lines, options.out)
    if options.what == "pages":
        from ops.bench import pages

        return pages.run(options.deliveries, contacts=options.contacts)
    from ops.bench import audience

    return audience.run(options.recipients)


if __name__ == "__main__":
    sys.exit(main())

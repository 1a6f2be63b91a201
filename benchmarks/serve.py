"""Measures how fast `keras-gan serve` starts and answers, by HTTP on this machine.

    python benchmarks/serve.py --model=saved_models/digits --output=serve.json

It starts the server in a process of its own, several times, and takes the time until it
answers. Then clients, each a thread with one connection, ask as fast as they can, for
every signature and number of rows. The clients run on the same cores, and read the
answers without decoding them. It prints requests and samples a second, the median of
the latency, and the 99th percentile. TensorFlow Serving takes the same load: --url.
"""

import argparse
import http.client
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main():
    arguments = parsed_arguments()
    starts, process, url = [], None, arguments.url
    for _ in range(0 if url else arguments.starts):
        if process:
            end(process)
        seconds, process, url = start(arguments.model)
        starts.append(seconds)
    try:
        rows = [
            measure(url, signature, count, clients, arguments.seconds)
            for signature in ("sample", "png")
            for count in arguments.rows
            for clients in arguments.clients
        ]
    finally:
        if process:
            end(process)
    show(starts, rows)
    if arguments.output:
        report = {"cores": os.cpu_count(), "starts": starts, "rows": rows}
        pathlib.Path(arguments.output).write_text(json.dumps(report, indent=2) + "\n")


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default=str(ROOT / "saved_models" / "digits"))
    parser.add_argument("--url", help="of a model of a running server, to measure that")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--seconds", type=float, default=5.0, help="of each row")
    parser.add_argument("--output", help="a JSON file for the tables")
    return parser.parse_args()


def start(model):
    """Returns (seconds until the first samples, process, URL of the model)."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "keras_gan_command", "serve", f"--model={model}",
         "--port=0"],
        stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    for line in process.stdout:
        if match := re.match(r"Serving (\S+) ", line):
            ask(connected(match[1]), match[1], "sample", {"seed": [0]})
            return time.perf_counter() - began, process, match[1]
    raise SystemExit("error: Expected a server that starts. Received: one that ended")


def end(process):
    process.terminate()
    process.wait()
    process.stdout.close()


def connected(url):
    return http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=60)


def ask(connection, url, signature, inputs):
    """Returns the bytes of an answer."""
    body = json.dumps({"signature_name": signature, "inputs": inputs})
    connection.request("POST", urllib.parse.urlsplit(url).path + ":predict", body)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise SystemExit(f"error: Expected samples. Received: {content[:200]!r}")
    return content


def measure(url, signature, count, clients, seconds):
    """Returns a row of the table: many requests of one kind."""
    inputs = {"seed": list(range(count))}
    if signature != "sample":
        drawn = json.loads(ask(connected(url), url, "sample", inputs))
        inputs = {"latents": drawn["outputs"]["latents"]}
    latencies, lock = [], threading.Lock()
    stop = time.perf_counter() + seconds

    def client():
        connection, found = connected(url), []
        while (began := time.perf_counter()) < stop:
            ask(connection, url, signature, inputs)
            found.append(time.perf_counter() - began)
        with lock:
            latencies.extend(found)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        "signature": signature,
        "rows": count,
        "clients": clients,
        "requests_per_second": len(latencies) / seconds,
        "samples_per_second": count * len(latencies) / seconds,
        "median": statistics.median(latencies),
        "percentile_99": sorted(latencies)[int(0.99 * len(latencies))],
    }


def show(starts, rows):
    if starts:
        print(
            f"first samples {min(starts):.2f} s after the start (best of {len(starts)})"
        )
    print(f"{os.cpu_count()} cores, clients on the same; latency in milliseconds")
    names = ("signature", "rows", "clients", "requests/s", "samples/s", "median", "99%")
    print("".join(f"{name:>11}" for name in names))
    for row in rows:
        print(
            f"{row['signature']:>11}{row['rows']:11}{row['clients']:11}"
            f"{row['requests_per_second']:11,.0f}{row['samples_per_second']:11,.0f}"
            f"{1e3 * row['median']:11.2f}{1e3 * row['percentile_99']:11.2f}"
        )


if __name__ == "__main__":
    main()

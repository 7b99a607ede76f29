"""A Ray cluster of two nodes of one core each on this machine, which obeys its standard input.

It answers each line with one: ``remove`` kills the second node, ``add`` brings another. What
its workers leave in the current folder stands in this one's. Its end is the end of all of it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from contextlib import closing

from ray.cluster_utils import Cluster

NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}


def say(**facts: object) -> None:
    sys.__stdout__.write(json.dumps(facts) + "\n")
    sys.__stdout__.flush()


def main() -> None:
    cluster = Cluster(initialize_head=True, head_node_args=NODE, shutdown_at_exit=True)
    with closing(sys.stdin), tempfile.TemporaryFile("w") as said:
        sys.stdout = said
        node = cluster.add_node(**NODE)
        for line in sys.stdin:
            if line == "remove\n":
                cluster.remove_node(node, allow_graceful=False)
            if line == "add\n":
                node = cluster.add_node(**NODE)
            processes = [each.all_processes for each in (cluster.head_node, node)]
            raylets = [each["raylet"][0].process.pid for each in processes if "raylet" in each]
            say(address=cluster.address, raylets=raylets)
    cluster.shutdown()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        os.environ["RAY_TMPDIR"] = folder  # short: a socket's path has 107 bytes at most
        os.mkdir(f"{folder}/ray")  # noqa: PTH102
        main()

"""qrexec-policy-graph, on the domains of the test driver, and on some out of a file."""

import json
from pathlib import Path

from tests.cli.conftest import run


def test_a_drawing_of_the_domains_that_there_are(host: str) -> None:
    rules = "my.Service * work Vault allow\nmy.Service * work debian ask\nmy.Service * Vault @adminvm ask\n"
    assert run("qubes-policy", "--replace", "30-user", data=rules).returncode == 0
    graph = run("qrexec-policy-graph", "-c", host, "--service", "my.Service")
    assert graph.returncode == 0, graph.stderr
    assert graph.stdout.splitlines() == [
        "digraph g {",
        '  "work" [color="#3465a4", penwidth=3];',
        '  "Vault" [color="black", penwidth=3];',
        '  "work" -> "Vault" [label="my.Service" color=red];',
        "}",
    ]
    words = ("qrexec-policy-graph", "-c", host, "--service", "my.Service")
    assert '"Vault" -> "dom0" [label="my.Service" color=orange]' in run(*words, "--include-ask").stdout
    assert '[label="my.Service ask" color=orange]' in run(*words, "--full-output").stdout
    assert '"work" -> "Vault" [label="" color=red]' in run(*words, "--skip-labels").stdout
    only = run(*words, "--include-ask", "--source", "work", "--target", "debian").stdout
    assert [line.split(" [")[0] for line in only.splitlines() if "->" in line] == ['  "work" -> "debian"']
    assert run(*words, "--source", "nobody").returncode == 1
    assert run(*words, "--target", "@anyvm").returncode == 1


def test_a_drawing_of_domains_out_of_a_file(tmp_path: Path) -> None:
    common = {
        "type": "AppVM",
        "tags": ["t"],
        "template_for_dispvms": True,
        "label": "0xcc0000",
        "power_state": "Halted",
    }
    domains = {name: {**common, "uuid": name * 8, "default_dispvm": "b"} for name in ("a", "b")}
    (tmp_path / "info.json").write_text(json.dumps({"domains": {**domains, "uuid:aaaaaaaa": common}}))
    folder = tmp_path / "policy.d"
    folder.mkdir()
    (folder / "10-x.policy").write_text("my.Service * @tag:t @dispvm allow\n")
    output = tmp_path / "out.dot"
    graph = ("qrexec-policy-graph", "--system-info", tmp_path / "info.json", "--policy-dir", folder)
    done = run(*graph, "--service", "my.Service", "--output", output)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert output.read_text().splitlines()[1:4] == [
        '  "a" [color="#cc0000", penwidth=3];',
        '  "@dispvm:b" [style=dotted];',
        '  "a" -> "@dispvm:b" [label="my.Service" color=red];',
    ]
    (tmp_path / "info.json").write_text('{"domains": []}')
    broken = run(*graph)
    assert (broken.returncode, "system information" in broken.stderr) == (1, True)

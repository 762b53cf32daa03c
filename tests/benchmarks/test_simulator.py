import json

from benchmarks.simulator import main


def test_it_prints_a_rate(photo_folder, capsys):
    main(["--photos", str(photo_folder), "--size", "64", "--seconds", "0.2"])
    shown = json.loads(capsys.readouterr().out)
    assert shown["pairs_per_second"] > 1 and shown["size"] == 64 and shown["threads"] >= 1

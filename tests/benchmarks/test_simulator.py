import json

from benchmarks import simulator
from models.runtime import cpu_name
from tests.clock import Clock
from training.tasks.dereflection.dataset import Reflections


def test_the_rate_is_of_new_pairs_by_the_clock_after_one_batch_to_warm_up(photo_folder, monkeypatch, capsys):
    clock, asked, batch = Clock(), [], Reflections.batch

    def paced(self, indices, size):
        clock.sleep(0.4)
        asked.append((*indices, size))
        return batch(self, indices, size)

    monkeypatch.setattr(Reflections, "batch", paced)
    monkeypatch.setattr(simulator, "time", clock)
    monkeypatch.setattr(simulator, "use_threads", lambda: 3)
    simulator.main(["--photos", str(photo_folder), "--size", "64", "--batch", "2", "--seconds", "1"])
    assert asked == [(0, 1, 64), (2, 3, 64), (4, 5, 64), (6, 7, 64)]
    shown = json.loads(capsys.readouterr().out)
    assert shown == {"pairs_per_second": 5.0, "size": 64, "batch": 2, "cpu": cpu_name(), "threads": 3}  # 6 in 1.2 s

import torch

from degradations.hints import brushed


def test_strokes_lie_over_the_reflection_and_nowhere_else():
    added = torch.zeros(2, 3, 64, 64)
    added[0, :, 8:24, 8:24] = 0.3
    strokes = brushed(added, torch.tensor([0.02, 0.02]))
    assert strokes.shape == (2, 1, 64, 64) and strokes.min() >= 0 and strokes.max() <= 1
    assert strokes[0, 0, 12:20, 12:20].min() > 0.95 and strokes[0, 0, 40:, 40:].max() == 0
    assert not strokes[1].any()  # nothing to brush over


def test_what_is_too_faint_to_be_seen_is_not_brushed_over_and_a_wide_brush_covers_more():
    added = torch.zeros(2, 3, 64, 64)
    added[..., 20:44, 20:44] = 0.01
    assert not brushed(added, torch.full((2,), 0.02)).any()
    added *= 20
    narrow, wide = brushed(added, torch.tensor([0.01, 0.06]))
    assert wide.sum() > 1.2 * narrow.sum()

import torch

from models.efficientnet_lite import EfficientNetLite
from training.tasks.dereflection.layer_losses import PerceptualLoss, exclusion, reconstruction


def test_exclusion_is_for_edges_at_the_same_places():
    torch.manual_seed(0)
    a, b = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    flat = torch.full_like(a, 0.5)
    assert exclusion(a, a) > exclusion(a, b) > exclusion(a, flat)
    assert exclusion(a, flat) < 1e-3
    apart, edge = torch.zeros(2, 1, 3, 32, 32)
    apart[..., 24:], edge[..., 8:] = 1, 1
    assert exclusion(apart, edge) < 0.2 * exclusion(edge, edge)


def test_layers_whose_screen_blend_is_the_photo_reconstruct_it():
    t, r = torch.rand(2, 2, 3, 8, 8)
    photo = 1 - (1 - t) * (1 - r)
    assert reconstruction(t, r, photo).max() < 1e-6
    torch.testing.assert_close(reconstruction(photo, torch.full_like(r, 0.0), photo + 0.1), torch.full((2,), 0.1))


def test_the_perceptual_loss_compares_what_pictures_show_and_leaves_its_network_alone():
    torch.manual_seed(0)
    loss = PerceptualLoss(EfficientNetLite(0.1, extra_channels=1))
    picture = torch.rand(2, 3, 64, 64)
    output = (picture + 0.05 * torch.randn_like(picture)).requires_grad_()
    assert loss(picture, picture).max() < 1e-5
    near, far = loss(output, picture), loss(torch.rand(2, 3, 64, 64), picture)
    assert near.shape == (2,) and (far > near).all() and (near > 0).all()
    near.sum().backward()
    assert output.grad.abs().sum() > 0 and all(p.grad is None for p in loss.parameters())

import pytest

from training.core.files import new_folder, replace_file


def test_a_folder_takes_its_place_only_when_it_is_whole(tmp_path):
    target = tmp_path / "model"
    with new_folder(target) as folder:
        (folder / "a").write_text("1")
        assert not target.exists()
    with pytest.raises(RuntimeError), new_folder(target) as folder:
        (folder / "b").write_text("2")
        raise RuntimeError
    assert [file.name for file in target.iterdir()] == ["a"]
    with new_folder(target) as folder:
        assert not list(folder.iterdir())  # nothing of the failed attempt
        (folder / "c").write_text("3")
    assert [file.name for file in target.iterdir()] == ["c"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path):
    for content in ("first", b"second"):
        replace_file(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == b"second" and len(list(tmp_path.iterdir())) == 1

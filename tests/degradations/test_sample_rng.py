from degradations.sample_rng import SampleRNG, Stream


def test_a_sample_is_the_same_in_every_run_and_differs_by_seed_index_and_stream() -> None:
    assert SampleRNG(0, 0).uniform() == SampleRNG(0, 0).uniform()
    first = {SampleRNG(seed, index, stream).uniform() for seed in (0, 1) for index in (0, 1) for stream in Stream}
    assert len(first) == 4 * len(Stream)


def test_streams_keep_the_numbers_that_checkpoints_were_trained_with() -> None:
    numbers = {name: int(stream) for name, stream in Stream.__members__.items()}
    assert numbers == {
        "TRAINING": 0,
        "VALIDATION": 1,
        "CROP": 2,
        "SIZE": 3,
        "VIEW": 4,
        "VALIDATION_VIEW": 5,
        "POSES": 6,
        "BLUR_TEST": 7,
        "SEVERE": 7,
        "HINT": 8,
        "VALIDATION_HINT": 9,
        "GRAY": 8,
        "VALIDATION_GRAY": 9,
        "TAG_DROPOUT": 10,
        "GUIDANCE_TEST": 11,
    }
    assert [Stream.TRAINING.of(held_out) for held_out in (False, True)] == [Stream.TRAINING, Stream.VALIDATION]
    assert Stream.VIEW.of(True) is Stream.VALIDATION_VIEW and Stream.GRAY.of(True) is Stream.VALIDATION_GRAY

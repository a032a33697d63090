from __future__ import annotations

import hashlib
import json

import pytest

from farm.contract import keys
from farm.contract.codec import from_json, from_plain, to_json, to_plain
from farm.contract.errors import FarmError, InvalidInput, InvalidParameter, JobNotFound, UnknownVersion
from farm.contract.messages import Stage, StoredFrame, TaskId, TaskMessage
from farm.contract.params import Backbone, Params, describe
from farm.contract.spec import Codec, Media, Output, Spec, Style, slug

MEDIA = Media("a" * 64, ".mp4", 10)
STYLES = (Style(Media("b" * 64, ".png", 20), "swirl"),)
SPEC = Spec("My Clip", MEDIA, STYLES)


def test_a_spec_survives_its_json() -> None:
    assert from_json(Spec, to_json(SPEC)) == SPEC


def test_json_is_canonical_whatever_the_order_of_keys() -> None:
    shuffled = dict(reversed(list(to_plain(SPEC).items())))
    assert to_json(from_plain(Spec, shuffled)) == to_json(SPEC)
    assert b" " not in to_json(Params())


def test_the_job_is_named_by_the_slug_and_the_sha256_of_the_json() -> None:
    digest = hashlib.sha256(to_json(SPEC)).hexdigest()
    assert SPEC.job == f"my-clip-{digest[:10]}"


def test_any_change_of_a_parameter_names_another_job() -> None:
    other = Spec("My Clip", MEDIA, STYLES, params=Params(steps=121))
    assert other.job != SPEC.job


def test_an_unknown_version_is_refused_and_named() -> None:
    plain = {**to_plain(SPEC), "version": 99}
    with pytest.raises(UnknownVersion, match=r"version 99.*reads 2"):
        from_plain(Spec, plain)


def test_a_spec_of_the_time_of_one_style_is_refused_in_one_line() -> None:
    plain = {**to_plain(SPEC), "style": to_plain(MEDIA), "style_name": "swirl", "version": 1}
    del plain["styles"]
    with pytest.raises(UnknownVersion) as caught:
        from_plain(Spec, plain)
    assert str(caught.value) == ("Spec has version 1, this farm reads 2; use the release of the farm that wrote it")


@pytest.mark.parametrize("harm", [{"extra": 1}, {"source": None}, {"chunk_frames": "48"}, {"chunk_frames": True}])
def test_a_spec_the_farm_did_not_write_is_refused(harm: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        from_plain(Spec, {**to_plain(SPEC), **harm})


def test_a_missing_field_is_named() -> None:
    plain = to_plain(SPEC)
    del plain["source"]
    with pytest.raises(InvalidInput, match="source"):
        from_plain(Spec, plain)


def test_what_is_not_json_is_refused() -> None:
    with pytest.raises(InvalidInput, match="not JSON"):
        from_json(Spec, b"\xff{")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("Big Buck Bunny", "big-buck-bunny"), ("Ünïcode/../x", "unicode-x"), ("…", "clip"), ("a" * 90, "a" * 40)],
)
def test_a_slug_is_plain_ascii(name: str, wanted: str) -> None:
    assert slug(name) == wanted


@pytest.mark.parametrize("job", ["", "../x", "a/b-0123456789", "clip-012345678", "Clip-0123456789", "a-0123456789\n"])
def test_what_is_not_a_jobs_name_never_becomes_a_key(job: str) -> None:
    with pytest.raises(JobNotFound):
        keys.spec(job)


def test_keys_are_those_of_the_store_layout() -> None:
    job = "clip-0123456789"
    assert keys.media(MEDIA) == f"media/{'a' * 64}.mp4"
    assert keys.stylized(job, 48) == "jobs/clip-0123456789/stylized/00000048.png"
    assert keys.manifest(job, TaskId(Stage.BLEND, 48)) == "jobs/clip-0123456789/manifests/blend/00000048.json"
    assert keys.segment(job, 96) == "jobs/clip-0123456789/segments/00000096.json"
    assert keys.segment_film(job, 96, ".mp4") == "jobs/clip-0123456789/segments/00000096.mp4"
    assert keys.frame(job, StoredFrame(TaskId(Stage.SEGMENT, 96), 96)) == keys.segment(job, 96)
    assert keys.task_of_manifest(keys.manifest(job, TaskId(Stage.BLEND, 48))) == TaskId(Stage.BLEND, 48)


@pytest.mark.parametrize("media", [Media("A" * 64, ".mp4", 1), Media("a" * 64, "../x", 1), Media("a" * 63, "", 1)])
def test_a_media_name_that_is_no_hash_is_refused(media: Media) -> None:
    with pytest.raises(ValueError, match="not a media name"):
        keys.media(media)


def test_a_message_survives_its_plain_form() -> None:
    message = TaskMessage("clip-0123456789", Stage.ANCHOR, 16, 2)
    assert from_plain(TaskMessage, json.loads(to_json(message))) == message


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps": 0}, "--steps 0 is outside its range; give a value from 1"),
        ({"steps": 1.5}, "--steps 1.5 is not a whole number"),
        ({"learning_rate": float("nan")}, "--learning-rate nan"),
        ({"backbone": "vgg18"}, "--backbone 'vgg18' is unknown; choose one of: efficientnet_lite0, vgg19"),
        ({"steps": True}, "--steps True is not a whole number"),
    ],
)
def test_a_parameter_outside_its_range_says_which_values_it_takes(changes: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        Params(**changes)  # type: ignore[arg-type]
    assert said in str(caught.value)
    assert caught.value.exit_code == 2


def test_every_parameter_has_a_doc_and_numbers_have_a_range_that_holds_the_default() -> None:
    for item in describe():
        assert item.doc.endswith(".")
        if item.type in (int, float):
            assert item.low is not None
            assert item.high is not None
            assert item.low <= item.default <= item.high


def test_whole_numbers_in_json_are_read_as_floats_where_the_field_is_one() -> None:
    plain = {**to_plain(Params()), "style_weight": 2}
    assert from_plain(Params, plain).style_weight == 2.0
    assert to_json(from_plain(Params, plain)) == to_json(Params(style_weight=2.0))


def mixture(*pairs: tuple[str, float]) -> Spec:
    """A spec that mixes styles, each a letter and its weight."""
    return Spec("x", MEDIA, tuple(Style(Media(letter * 64, ".png", 9), letter, weight) for letter, weight in pairs))


def test_only_the_ratio_of_the_weights_names_the_job() -> None:
    assert mixture(("a", 2), ("b", 1)).job == mixture(("a", 4.0), ("b", 2.0)).job
    assert mixture(("a", 1), ("b", 3)).job == mixture(("a", 0.1), ("b", 0.3)).job  # not the same doubles
    assert mixture(("a", 2), ("b", 1)).job != mixture(("a", 1), ("b", 2)).job
    assert mixture(("a", 7)).job == mixture(("a", 1)).job


def test_the_order_of_the_styles_does_not_name_the_job_and_the_same_picture_twice_is_one_style() -> None:
    assert mixture(("a", 2), ("b", 1)).job == mixture(("b", 1), ("a", 2)).job
    assert mixture(("a", 1), ("b", 1), ("a", 1)) == mixture(("a", 2), ("b", 1))


@pytest.mark.parametrize("weights", [(1, 3, 7), (0.1, 0.3, 0.7), (1e-9, 1, 5)])
def test_a_mixture_survives_its_json(weights: tuple[float, ...]) -> None:
    spec = mixture(*zip("abc", weights, strict=True))
    assert from_json(Spec, to_json(spec)) == spec
    assert from_json(Spec, to_json(spec)).job == spec.job


def test_people_read_the_shares_of_a_mixture() -> None:
    assert mixture(("a", 3)).style_name == "a"
    assert mixture(("b", 1), ("a", 2)).style_name == "a 67% + b 33%"


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf"), True, "2"])
def test_a_weight_that_is_none_is_refused(weight: object) -> None:
    with pytest.raises(InvalidParameter, match="give a number above 0"):
        Style(MEDIA, "swirl", weight)  # type: ignore[arg-type]


def test_a_spec_has_from_one_to_sixteen_styles() -> None:
    with pytest.raises(InvalidParameter, match="0 styles can't be mixed; give --style 1 to 16 times"):
        Spec("x", MEDIA, ())
    with pytest.raises(InvalidParameter, match="17 styles"):
        mixture(*((letter, 1) for letter in "0123456789abcdefg"))


@pytest.mark.parametrize("size", [0, -5, 15, 8193])
def test_a_size_outside_its_range_is_refused(size: int) -> None:
    with pytest.raises(InvalidParameter, match="--size"):
        Spec("x", MEDIA, STYLES, size_px=size)


def test_an_unknown_codec_lists_those_there_are() -> None:
    with pytest.raises(InvalidParameter, match="h264, hevc, ffv1, prores"):
        Output(codec="divx")  # type: ignore[arg-type]
    assert Output(Codec.FFV1).suffix == ".mkv"


@pytest.mark.parametrize("codec", [Codec.FFV1, Codec.PRORES])
def test_a_quality_that_a_codec_does_not_have_names_no_other_job(codec: Codec) -> None:
    with pytest.raises(InvalidParameter, match=f"--crf 20: {codec} has one quality alone; .* --codec h264 or hevc"):
        Output(codec, 20)


def test_params_given_as_whole_numbers_name_the_same_job() -> None:
    assert Spec("x", MEDIA, STYLES, params=Params(style_weight=2)).job == (
        Spec("x", MEDIA, STYLES, params=Params(style_weight=2.0)).job
    )


def test_backbones_have_their_weights_named() -> None:
    from farm.contract.spec import WEIGHTS_SHA256

    assert set(WEIGHTS_SHA256) == set(Backbone)


def test_the_error_tree_is_the_one_its_docstring_draws() -> None:
    from farm.contract import errors

    def names(kind: type[FarmError]) -> set[str]:
        return {kind.__name__}.union(*(names(child) for child in kind.__subclasses__()))

    assert errors.__doc__ is not None
    assert all(name in errors.__doc__ for name in names(FarmError) if not name.startswith("_"))


def test_errors_keep_their_facts_across_a_pickle() -> None:
    import pickle

    again = pickle.loads(pickle.dumps(JobNotFound("no job", job="x")))
    assert (type(again), str(again), again.job) == (JobNotFound, "no job", "x")

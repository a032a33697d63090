from bench.command import without


def test_options_are_taken_from_a_command_line_with_their_values() -> None:
    words = ["--farm", "/a", "--painted", "--results=/b", "--clips", "bikes"]
    assert without(("--farm", "--results"), words) == ["--painted", "--clips", "bikes"]
    assert without(("--farm",), ["--farm=/a", "--painted"]) == ["--painted"]
    assert without(("--farm",), []) == []

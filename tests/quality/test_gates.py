import pytest

from tollbook.errors import ConfigError
from tollbook.quality.gates import Gates


@pytest.fixture
def gates_of(tmp_path):
    def read(text):
        (tmp_path / "gates.yml").write_text(text)
        return Gates.read(tmp_path)

    return read


def test_without_a_file_the_defaults_hold(tmp_path):
    gates = Gates.read(tmp_path)
    assert gates.freshness_days.warn_above == 3
    assert gates.reconciliation_delta.error_above == 0
    assert gates.required is False


def test_a_gate_keeps_the_limits_that_the_file_does_not_name(gates_of):
    gates = gates_of("quarantine_ratio: {warn_above: 0.1}")
    assert (gates.quarantine_ratio.warn_above, gates.quarantine_ratio.error_above) == (0.1, 0.5)
    assert gates.tag_coverage.warn_below == 0.95


def test_an_empty_limit_is_switched_off(gates_of):
    assert gates_of("freshness_days:\n  warn_above:\n").freshness_days.limits(99) == ()


def test_a_source_changes_the_general_gates_for_itself_only(gates_of):
    gates = gates_of("row_volume: {warn_above: 3}\nsources: {bill: {required: true, row_volume: {warn_below: 0.1}}}")
    assert gates.of("bill").row_volume.model_dump(exclude_none=True) == {"warn_above": 3, "warn_below": 0.1}
    assert gates.of("bill").required
    assert gates.of("slurm").row_volume.warn_below == 0.5
    assert not gates.of("slurm").required


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tag_coverag: {warn_below: 1}", r"tag_coverag: unknown key; known here: .*tag_coverage"),
        ("tag_coverage: {warn_above: 1}", r"tag_coverage\.warn_above: unknown key; known here: warn_below"),
        ("sources: {bill: {row_volum: {}}}", r"sources\.bill\.row_volum: unknown key"),
        # conservation is the same for every source
        ("sources: {bill: {reconciliation_delta: {error_above: 1}}}", r"sources\.bill\.reconciliation_delta: unknown"),
        ("tag_coverage: 0.9", r"tag_coverage should be keys and values, not 0\.9"),
        ("freshness_days: {warn_above: often}", r"freshness_days\.warn_above: .*number.* not 'often'"),
        ("freshness_days: {warn_above: yes}", r"freshness_days\.warn_above: .*should be a number.* not True"),
        ("freshness_days: {warn_above: .nan}", r"freshness_days\.warn_above: .* not nan"),
        ("required: maybe", r"required: .* not 'maybe'"),
        ("- tag_coverage", r"the file should be keys and values"),
        ("sources: [bill]", r"sources should be keys and values"),
        ("tag_coverage: {", r"is not valid YAML"),
    ],
)
def test_what_cannot_be_used_is_refused_with_file_and_key(gates_of, text, said):
    with pytest.raises(ConfigError, match=rf"gates\.yml.*{said}"):
        gates_of(text)


def test_money_limits_reach_duckdb_as_plain_decimals(gates_of):
    # YAML takes 1e-20 (without a point) for text
    gates = gates_of("reconciliation_delta: {warn_above: 1e-20, error_above: 0.01}")
    assert gates.reconciliation_delta.exact() == ("0.00000000000000000001", "0.01")

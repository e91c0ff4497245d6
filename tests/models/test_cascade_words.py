"""What a printed cascade says."""

from facemask.models import FCN, Cascade, CascadeSettings
from facemask.origin import Origin
from tests.models.oracles import Oracle
from tests.models.test_cascade_file import BACKBONE


def test_a_cascade_is_printed_in_a_line_and_its_networks_as_modules() -> None:
    eyes, face = FCN(BACKBONE, 2), FCN(BACKBONE, 5)
    count = sum(p.numel() for network in (eyes, face) for p in network.parameters())
    assert 1e5 < count < 9e5
    cascade = Cascade(face, eyes, settings=CascadeSettings(size=64))
    said = f"Cascade(primary, eyes; 64 × 64 pixels; 0.{round(count / 1e5)} million parameters"
    assert repr(cascade) == str(cascade) == f"{said})"
    assert "(encoder)" in repr(cascade.primary)

    base = Origin("default", "0ab", "for research only.", "research-only")
    for network, note in ((face, "40 frames"), (eyes, "30 frames")):
        network.origins = (base, Origin("data set mine", note=note))
    assert repr(cascade) == f"{said}; from 'default' (research-only), 'data set mine')"


def test_one_without_parameters_is_printed_without_their_number() -> None:
    assert repr(Cascade(Oracle("face"))) == "Cascade(primary; 320 × 320 pixels)"

import pytest
import torch

from aqakit.methods import c3d_lstm
from aqakit.types import FeatureSpec, Stream
from tests.synthetic import FEATURES, LABELS, batch

BATCH = batch(videos=6, unlabelled=1)


def one_by_one(method, videos):
    """What an LSTM cell says after each clip of each video, with the weights of the layer."""
    cell = torch.nn.LSTMCell(method.lstm.input_size, method.lstm.hidden_size)
    cell.load_state_dict({name.removesuffix("_l0"): p for name, p in method.lstm.state_dict().items()})
    for features, clips in zip(videos.features, videos.clips, strict=True):
        state, said = None, []
        for clip in features[clips]:
            state = cell(clip[None], state)
            said.append(method.head(state[0]).mean[0])
        yield torch.stack(said)


def test_parameters_of_the_published_size():
    method = c3d_lstm.build(c3d_lstm.FEATURES, LABELS)
    gates, last = 4 * 256 * (4096 + 256 + 2), 256 + 1
    assert sum(p.numel() for p in method.parameters()) == gates + last == 4_458_753


@pytest.mark.parametrize("supervision", ["final", "incremental"])
def test_the_answer_is_what_a_cell_says_after_the_last_clip(supervision):
    method = c3d_lstm.build(FEATURES, LABELS, supervision=supervision)
    last = torch.stack([said[-1] for said in one_by_one(method, BATCH)])
    torch.testing.assert_close(method.predict(BATCH).mean, last)


def test_the_final_loss_is_the_squared_error_of_the_answer():
    method = c3d_lstm.build(FEATURES, LABELS)
    expected = (method.predict(BATCH).mean - BATCH.score)[:5].square().mean()
    torch.testing.assert_close(method.losses(BATCH)["squared_error"], expected / method.head.units.size**2)


def test_the_incremental_loss_is_that_of_a_score_that_rises_from_clip_to_clip():
    method = c3d_lstm.build(FEATURES, LABELS, supervision="incremental")
    errors = []
    for said, score in list(zip(one_by_one(method, BATCH), BATCH.score, strict=True))[:5]:
        rising = torch.tensor([score * n / len(said) for n in range(1, len(said) + 1)])
        errors.append((said - rising).square().mean())
    torch.testing.assert_close(
        method.losses(BATCH)["squared_error"], torch.stack(errors).mean() / method.head.units.size**2
    )


def test_of_a_single_clip_both_losses_are_the_same():
    single = BATCH.replace(streams={"test": Stream(BATCH.features[:, :1], BATCH.clips[:, :1])})
    final = c3d_lstm.build(FEATURES, LABELS)
    rising = c3d_lstm.build(FEATURES, LABELS, supervision="incremental")
    rising.load_state_dict(final.state_dict())
    torch.testing.assert_close(rising.losses(single), final.losses(single))


@pytest.mark.parametrize("supervision", ["final", "incremental"])
def test_without_a_label_there_is_nothing_to_learn(supervision):
    method = c3d_lstm.build(FeatureSpec({"test": (12,)}), LABELS, supervision=supervision, units=4)
    loss = method.losses(BATCH.unlabelled())["squared_error"]
    loss.backward()
    assert loss == 0

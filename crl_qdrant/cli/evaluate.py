"""`crl-qdrant eval …`: the paper's tables, one command each, and composed search on your own labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, TYPE_CHECKING

import typer

from crl_qdrant.cli.compose import compose
from crl_qdrant.cli.options import Device
from crl_qdrant.cli.report import report
from crl_qdrant.common.device import choose_device
from crl_qdrant.errors import CriterionError

if TYPE_CHECKING:
    from crl_qdrant import Criterion, Encoder
    from crl_qdrant.common.arrays import Float32Array
    from crl_qdrant.projection.triplets import TripletSettings

__all__ = ["app"]

app = typer.Typer(
    help="Measure criteria by the paper's tasks, or on your own labels.",
    no_args_is_help=True,
)

# OpenAI's weights, which the paper used; they need the activation that "quickgelu" stands for
_B32: Final = "open_clip:ViT-B-32-quickgelu/openai"
_B16: Final = "open_clip:ViT-B-16-quickgelu/openai"
_NOT_COMPARABLE: Final = "not the whole data set: figures are not to be compared with the paper's"

Data = Annotated[
    Path, typer.Option(help="The data set's folder; if it lacks something, the message says where to get it.")
]
Words = Annotated[
    Path | None,
    typer.Option(help='A JSON file of each criterion\'s words, {"color": ["red", …], …}; none: the packaged lists.'),
]
Ask = Annotated[
    bool, typer.Option("--ask", help="Ask a language model for the words, as the paper does; they are kept in --out.")
]
EncoderName = Annotated[str, typer.Option("--encoder", envvar="CRL_ENCODER", help="Encoder of images and words.")]
Seeds = Annotated[int, typer.Option(min=1, help="How many seeds; the paper has 20.")]
Out = Annotated[Path, typer.Option(help="The folder for embeddings and report.")]
Preset = Annotated[str, typer.Option(help='How words become a representation; the paper is "paper".')]
Limit = Annotated[int | None, typer.Option(min=2, help="Largest number of images or queries, for a quick run.")]


class ScalingChoice(StrEnum):
    """Scaling of R for few-shot classification."""

    code = "code"
    paper = "paper"
    unit = "unit"


class FormChoice(StrEnum):
    """Form of the score of conditional similarity."""

    code = "code"
    paper = "paper"


ScalingOption = Annotated[
    ScalingChoice,
    typer.Option("--scaling", help="Scaling of R for few-shot: as the paper's code, its text, or unit rows only."),
]


def _labelled_command(name: str) -> Callable[..., None]:
    def command(
        data: Data,
        words: Words = None,
        ask: Ask = False,
        encoder: EncoderName = _B32,
        seeds: Seeds = 20,
        scaling: ScalingOption = ScalingChoice.code,
        preset: Preset = "paper",
        limit: Limit = None,
        out: Out = Path("crl-eval") / name,
        device: Device = "auto",
    ) -> None:
        from crl_qdrant.evaluation.datasets import LABELLED_SETS
        from crl_qdrant.evaluation.protocols import evaluate_labelled

        title, load, published, prompts = LABELLED_SETS[name]
        found = load(data).limited(limit)
        criteria, notes = _criteria(words, ask, prompts, preset, out)
        model, images = _embedded(found.images, encoder, out, device)
        results = evaluate_labelled(title, found, images, criteria, model, seeds=range(seeds), scaling=scaling.value)
        settings = {"data": f"{len(found.images):,} images", "seeds": _seeds(seeds), "scaling of R": scaling.value}
        more = () if len(found.images) == published else (_NOT_COMPARABLE,)
        report(title, replace(results, notes=results.notes + notes + more), model, criteria, settings, out, device)

    return command


for _name, _help in (
    ("clevr4", "Cluster and few-shot classify Clevr4-10k, by 4 criteria."),
    ("cards", "Cluster and few-shot classify Cards, by number and suits."),
):
    app.command(_name, help=_help)(_labelled_command(_name))


app.command()(compose)


@app.command()
def fashion(
    data: Data,
    words: Words = None,
    ask: Ask = False,
    encoder: EncoderName = _B16,
    reduce: Annotated[
        bool, typer.Option(help="Reduce every attribute's words to the shortest list's number, as the paper does.")
    ] = True,
    train: Annotated[bool, typer.Option("--train", help="Train the paper's heads, and add their row.")] = False,
    fine_tune: Annotated[
        bool, typer.Option("--fine-tune", help="Train the image tower behind the heads too, and add its row.")
    ] = False,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of the heads' training.")] = 1000,
    tuning_epochs: Annotated[
        int, typer.Option(min=1, help="Epochs for the image tower; the paper's code has 50.")
    ] = 100,
    triplets: Annotated[int, typer.Option(min=1, help="Triplets in each epoch of either.")] = 100_000,
    preset: Preset = "paper",
    limit: Limit = None,
    out: Out = Path("crl-eval/fashion"),
    device: Device = "auto",
) -> None:
    """Retrieve from DeepFashion by attribute, also with training.

    The attributes are texture, fabric, shape, part and style.
    """
    from crl_qdrant.evaluation.attribute_retrieval import attribute_projections, projected
    from crl_qdrant.evaluation.datasets.deepfashion import FASHION_PROMPTS, load_deepfashion
    from crl_qdrant.evaluation.protocols import evaluate_attributes

    found = load_deepfashion(data).limited(limit)
    criteria, notes = _criteria(words, ask, FASHION_PROMPTS, preset, out)
    model, images = _embedded(found.images, encoder, out, device)
    components = min(len(each.words) for each in criteria.values()) if reduce and preset == "paper" else None
    projections = attribute_projections(criteria, model, images, components=components)
    methods: dict[str, Callable[[str], Float32Array]] = {
        "raw": lambda name: images,
        "CRL": lambda name: projected(images, projections[name]),
    }
    settings = {"words reduced to": "not reduced" if components is None else str(components)}
    if train or fine_tune:
        from crl_qdrant.evaluation.fashion_training import FashionTraining, STAGE_1, STAGE_2, trained_methods

        tower = replace(STAGE_2, epochs=tuning_epochs, triplets=triplets) if fine_tune else None
        heads = replace(STAGE_1, epochs=epochs, triplets=triplets)
        settings["training"] = _stages(heads, tower)
        training = FashionTraining(data, model, heads, tower, limit, out, choose_device(device))
        wanted = {name: each for name, each in projections.items() if name in found.queries}
        methods |= trained_methods(training, found.images, images, wanted)
    results = evaluate_attributes("DeepFashion: retrieval by attribute", found, list(criteria), methods)
    listed = {name: f"{len(each.rows)} to {len(found.candidates[name].rows)}" for name, each in found.queries.items()}
    settings["queries to candidates"] = ", ".join(f"{name} {each}" for name, each in listed.items())
    more = () if limit is None else (_NOT_COMPARABLE,)
    report("DeepFashion", replace(results, notes=results.notes + notes + more), model, criteria, settings, out, device)


def _stages(heads: TripletSettings, tower: TripletSettings | None) -> str:
    stages = {"heads": heads} | ({} if tower is None else {"image tower": tower})
    return ", ".join(f"{stage} {each.epochs} epochs of {each.triplets:,}" for stage, each in stages.items())


@app.command()
def genecis(
    data: Data,
    words: Words = None,
    ask: Ask = False,
    encoder: EncoderName = _B16,
    tuned: Annotated[
        str | None, typer.Option(help="An encoder with fine-tuned weights: the paper's rows with a star.")
    ] = None,
    combiner: Annotated[
        Path | None,
        typer.Option(help="Weights of GeneCIS' Combiner, for its row; they belong to the tuned encoder."),
    ] = None,
    form: Annotated[
        FormChoice, typer.Option(help="The score of the paper's code (scaled over the gallery), or of its text.")
    ] = FormChoice.code,
    preset: Preset = "paper",
    limit: Limit = None,
    out: Out = Path("crl-eval/genecis"),
    device: Device = "auto",
) -> None:
    """Find the right image in the galleries of GeneCIS.

    The tasks are focus and change on objects, by the criterion "scene".
    """
    from crl_qdrant.evaluation.combiner import Combiner
    from crl_qdrant.evaluation.datasets.genecis import GENECIS_PROMPTS, GENECIS_QUERIES, load_genecis
    from crl_qdrant.evaluation.protocols import evaluate_galleries, GalleryModel

    found = load_genecis(data).limited(limit)
    criteria, notes = _criteria(words, ask, GENECIS_PROMPTS, preset, out)
    model, images = _embedded(found.images, encoder, out, device)
    models = [GalleryModel(model, images)]
    if tuned is not None:
        models.append(GalleryModel(*_embedded(found.images, tuned, out, device), mark="*"))
    if combiner is not None:
        models[-1] = models[-1]._replace(combiner=Combiner(combiner, models[-1].encoder))
    results = evaluate_galleries(
        "GeneCIS: conditional similarity",
        found,
        models,
        dict.fromkeys(found.queries, criteria["scene"]),
        normalize=form is FormChoice.code,
    )
    counts = {half: len(queries) for half, queries in found.queries.items()}
    settings = {"queries": ", ".join(f"{half} {number}" for half, number in counts.items()), "form": form.value}
    settings |= {name: str(each) for name, each in (("tuned", tuned), ("combiner", combiner)) if each is not None}
    more = () if set(counts.values()) == {GENECIS_QUERIES} else (_NOT_COMPARABLE,)
    report("GeneCIS", replace(results, notes=results.notes + notes + more), model, criteria, settings, out, device)


@app.command()
def demo(
    small: Annotated[bool, typer.Option("--small", help="Few products and seeds: seconds instead of minutes.")] = False,
    encoder: Annotated[str, typer.Option(help="Encoder of images and words.")] = "demo",
    seeds: Annotated[int | None, typer.Option(min=1, help="How many seeds; 20, or 2 with --small.")] = None,
    preset: Preset = "paper",
    out: Out = Path("crl-eval/demo"),
    device: Device = "auto",
) -> None:
    """Run all four tasks on the demo's rendered catalogue.

    Nothing is downloaded.
    """
    from crl_qdrant.demo.evaluate import evaluate_demo
    from crl_qdrant.demo.run import CRITERIA

    model = _loaded(encoder, device)
    number, queries, usual = (160, 40, 2) if small else (2000, 500, 20)
    results = evaluate_demo(out, model, number=number, queries=queries, preset=preset, seeds=range(seeds or usual))
    settings = {"data": f"{number} rendered products", "queries": f"{queries} of each kind"}
    settings["seeds"] = _seeds(seeds or usual)
    criteria = {each.name: each.with_options(preset) for each in CRITERIA}
    report("Demo catalogue", results, model, criteria, settings, out, device)


def _criteria(
    words: Path | None, ask: bool, prompts: Mapping[str, str], preset: str, out: Path
) -> tuple[dict[str, Criterion], tuple[str, ...]]:
    """A run's criteria, and notes on them."""
    from crl_qdrant import LanguageModel
    from crl_qdrant.evaluation.words import ask_words, criteria_of, packaged_lists, read_words

    if words is not None and ask:
        raise CriterionError("give a file of words, or --ask for them, not both")
    if words is not None:
        return criteria_of(read_words(words), prompts, preset=preset)
    if ask:
        return criteria_of(ask_words(prompts, LanguageModel(), out / "words.json"), prompts, preset=preset)
    criteria, notes = criteria_of(packaged_lists(prompts), prompts, preset=preset)
    return criteria, ("the words are the packaged lists', not the paper's", *notes)


def _loaded(encoder: str, device: str) -> Encoder:
    from crl_qdrant.encoders import load_encoder
    from crl_qdrant.evaluation.extra import check_evaluation_packages

    check_evaluation_packages()
    return load_encoder(encoder, device=device)


def _embedded(images: tuple[Path, ...], encoder: str, out: Path, device: str) -> tuple[Encoder, Float32Array]:
    from crl_qdrant.evaluation.embed import embed_images

    model = _loaded(encoder, device)
    return model, embed_images(images, model, out)


def _seeds(number: int) -> str:
    return "0" if number == 1 else f"0 to {number - 1}"

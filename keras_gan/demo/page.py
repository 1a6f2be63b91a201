"""The page, by gradio: its controls, and the method of `Studio` that each calls."""

import functools
import html

import gradio as gr
import numpy as np

from keras_gan.demo.answers import answering
from keras_gan.demo.downloads import Downloads
from keras_gan.demo.drawn import Picks
from keras_gan.pictures import grids

TITLE = "keras-gan demo"
# Fonts of the reader's machine: nothing comes from another server.
THEME_FONTS = ("system-ui", "sans-serif")
CSS = """
.pixels img { image-rendering: pixelated; }
.tab-container button { padding: 0 min(2.4vw, 16px) !important; }
.scroll .image-frame, .scroll .image-container { overflow-x: auto !important; }
.scroll img { min-width: 720px; max-width: none !important; }
footer { display: none !important; }
"""
_NUM_SAMPLES = 36
# How far the sliders move latents; a step of 1 is a deviation of normal latents.
_FARTHEST = 3.0
_SIDE = 336
# Requests that wait in each lane, and sessions whose picks are kept.
MOST_WAITING, MOST_SESSIONS = 20, 50
# Two lanes, in which one action runs at a time: sliders do not wait for a projection.
_FAST = {
    "concurrency_id": "fast",
    "concurrency_limit": 1,
    "api_visibility": "private",
    "show_progress": "hidden",
}
_SLOW = {**_FAST, "concurrency_id": "slow", "show_progress": "full"}
# Stands for "no class" in a choice; gradio would show None as an empty field.
_NO_CLASS = -1
_FIND = "The page looks for the sample most like your picture, for some seconds."
_CLICK = "() => document.querySelector('#file').click()"


class Page:
    """The page of a studio.

    Args:
        studio: `studio.Studio`.
        folder: `pathlib.Path`, where files for downloads are written.

    Attributes:
        blocks: `gradio.Blocks`.
    """

    def __init__(self, studio, folder):
        self.studio = studio
        self._files = Downloads(folder)
        with gr.Blocks(
            title=f"{studio.name}, {TITLE}",
            analytics_enabled=False,
            # Files of the page are removed after ten minutes.
            delete_cache=(60, 600),
        ) as self.blocks:
            self._heading()
            self._drawn, self._picks = gr.State(), gr.State()
            self._image, self._projected = gr.State(), gr.State()
            self._file = gr.DownloadButton(visible="hidden", elem_id="file")
            with gr.Tabs() as self._tabs:
                with gr.Tab("Samples", id="samples"):
                    self._samples_tab()
                with gr.Tab("Edit", id="edit"):
                    self._edit_tab()
                with gr.Tab("Your picture", id="picture"):
                    self._picture_tab()
                with gr.Tab("Training", id="training") as training:
                    self._training_tab(training)
            self._connect_samples()
            self._connect_edit()
            self._connect_picture()
        self.blocks.queue(max_size=MOST_WAITING, default_concurrency_limit=1)
        self.blocks.state_session_capacity = MOST_SESSIONS

    def _heading(self):
        height, width, channels = self.studio.spec.shape
        colours = {1: "grey levels", 3: "colours"}.get(channels, f"{channels} channels")
        gr.Markdown(
            f"## {html.escape(self.studio.name)}\n"
            f"A generator of {height}×{width} pictures in {colours}. "
            "**Click a sample to change it**, or drop a picture of your own."
        )

    # === Layout ===

    def _samples_tab(self):
        studio = self.studio
        with gr.Row():
            with gr.Column(scale=3, min_width=280):
                self._grid = _image("Click a sample to change it", "grid")
            with gr.Column(scale=2, min_width=260):
                with gr.Row():
                    self._seed = gr.Number(
                        0, label="Seed", precision=0, minimum=0, maximum=2**32 - 1,
                        min_width=110,
                    )  # fmt: skip
                    self._next = gr.Button("Next seed", min_width=110, size="md")
                most = studio.limits.num_samples
                self._count = gr.Slider(
                    1, most, min(_NUM_SAMPLES, most), step=1, label="Samples"
                )
                self._label = self._class_choice("any", "Class")
                self._truncation = gr.Slider(
                    0, 1, 1, step=0.05, label="Truncation",
                    info="Below 1, samples are more typical and vary less.",
                    visible="truncation" not in studio.missing,
                )  # fmt: skip
                self._reject = gr.Checkbox(
                    label="Reject by D",
                    info="Shows those that the discriminator takes for data. "
                    "Truncation is then left out.",
                    visible="reject" not in studio.missing,
                )
                for part in ("truncation", "reject"):
                    self._note(part)
                self._role = gr.Radio(
                    [
                        ("the sample to edit (orange)", "first"),
                        ("the second one, where its way leads (blue)", "second"),
                    ],
                    value="first",
                    label="A click picks",
                )
                with gr.Row():
                    self._grid_files = {
                        suffix: gr.Button(
                            f"Save {suffix.upper()}", min_width=70, size="md"
                        )
                        for suffix in ("png", "npz")
                    }

    def _edit_tab(self):
        studio = self.studio
        with gr.Row():
            with gr.Column(scale=3, min_width=280):
                self._edited = _image("The sample, changed", "edited", _SIDE)
                self._way = _image("Its way to the second sample", "way")
            with gr.Column(scale=2, min_width=260):
                self._note("edit")
                self._amounts = [
                    gr.Slider(
                        -_FARTHEST, _FARTHEST, 0, step=0.1, label=name.capitalize(),
                        info=_ENDS.get(name),
                    )
                    for name in studio.attributes
                ]  # fmt: skip
                self._share = gr.Slider(
                    0, 1, 0, step=0.02, label="Way to the second sample",
                    info="0 is the sample that you picked, 1 the second one.",
                )  # fmt: skip
                self._edit_label = self._class_choice("its own", "Class")
                self._reset = gr.Button("Undo all changes", size="md")
                with gr.Row():
                    self._edit_files = {
                        suffix: gr.Button(
                            f"Save {suffix.upper()}", min_width=70, size="md"
                        )
                        for suffix in ("png", "npz", "gif")
                    }

    def _picture_tab(self):
        with gr.Row():
            with gr.Column(min_width=260):
                self._upload = gr.File(
                    label="PNG, JPEG, WebP, GIF, BMP or TIFF", type="filepath",
                    height=160, elem_id="upload",
                )  # fmt: skip
                self._invert = gr.Checkbox(
                    label="Swap light and dark", elem_id="invert",
                    info="For ink on paper, where samples are light on dark.",
                )  # fmt: skip
                self._picture_label = self._class_choice("all are tried", "Its class")
                self._found_text = gr.Markdown(_FIND)
                self._found = _image("Your picture, and the generator's", "found")
                self._edit_found = gr.Button(
                    "Change it in Edit", interactive=False, size="md"
                )
            with gr.Column(min_width=260):
                self._neighbours = _image(
                    "Its neighbours in latent space", "neighbours"
                )
        gr.Markdown(
            "### Complete it\nPaint over a part of your picture, then press Complete."
        )
        with gr.Row():
            with gr.Column(min_width=260):
                self._canvas = gr.ImageEditor(
                    show_label=False, type="numpy", height=_SIDE + 90,
                    placeholder="Your picture will be here",
                    sources=(), transforms=(), layers=False, format="png",
                    brush=gr.Brush(colors=["#ff8c00"], color_mode="fixed",
                                   default_size=_SIDE // 8),
                    canvas_size=(_SIDE, _SIDE), fixed_canvas=True, elem_id="canvas",
                )  # fmt: skip
                self._complete = gr.Button("Complete", variant="primary", size="md")
            with gr.Column(min_width=260):
                self._completions = _image(
                    "Completions, the best fit first", "completions"
                )

    def _training_tab(self, tab):
        if "training" in self.studio.missing:
            self._note("training")
            return
        health = gr.Markdown("Reading the logs ...", elem_id="health")
        curves = _image("Curves", "curves", classes="scroll")
        gr.Markdown("Samples over the training")
        snapshots = gr.Gallery(
            show_label=False, columns=3, preview=False, object_fit="contain",
            format="png", interactive=False, buttons=[], elem_classes="pixels",
            elem_id="snapshots", height="auto",
        )  # fmt: skip
        tab.select(answering(self._trained), None, [curves, snapshots], **_FAST)
        tab.select(answering(self._health), None, health, **_SLOW)

    def _note(self, part):
        """Says what a missing part needs."""
        if part in self.studio.missing:
            gr.Markdown(self.studio.missing[part], elem_classes="missing")

    def _class_choice(self, default, label):
        """Returns a choice of classes, invisible where there are none."""
        names = self.studio.class_names or []
        numbers = self.studio.class_numbers or []
        choices = [(default, _NO_CLASS), *zip(names, numbers, strict=True)]
        return gr.Dropdown(
            choices, value=_NO_CLASS, label=label, visible=bool(names), min_width=110
        )

    # === Events ===

    def _connect_samples(self):
        settings = [
            self._count, self._seed, self._label, self._truncation, self._reject,
            self._picks,
        ]  # fmt: skip
        shown = [self._grid, self._drawn, self._picks, *self._edit_outputs()]

        def draw(event):
            event(
                answering(self._draw), settings, shown, trigger_mode="always_last",
                **_FAST,
            )  # fmt: skip

        draw(self.blocks.load)
        for control in settings[:-1]:
            draw(control.input if control is not self._seed else control.change)
        self._next.click(
            lambda seed: (int(seed or 0) + 1) % 2**32, self._seed, self._seed, **_FAST
        )
        self._grid.select(
            answering(self._pick),
            [self._drawn, self._picks, self._role],
            [self._tabs, self._grid, self._picks, *self._edit_outputs()],
            **_FAST,
        )
        for suffix, button in self._grid_files.items():
            self._downloads(button, suffix, self._drawn_file, [self._drawn, self._seed])

    def _connect_edit(self):
        controls = [self._picks, self._edit_label, self._share, *self._amounts]
        pictures = [self._edited, self._way]
        for control in (self._edit_label, self._share, *self._amounts):
            control.input(
                answering(self._edit), controls, pictures, trigger_mode="always_last",
                **_FAST,
            )  # fmt: skip
        self._reset.click(
            answering(self._restart), self._picks, self._edit_outputs(), **_FAST
        )
        for suffix, button in self._edit_files.items():
            self._downloads(button, suffix, self._edited_file, controls)

    def _connect_picture(self):
        given = [self._upload, self._invert]
        read = [self._image, self._canvas, self._completions]
        found = [
            self._found_text, self._found, self._neighbours, self._projected,
            self._edit_found,
        ]  # fmt: skip
        label = [self._picture_label]
        # First the results of the picture before go: none stays beside a wrong file.
        all_shown = [*read, *found]
        self._upload.clear(self._forgotten, None, all_shown, **_FAST)
        for event in (self._upload.upload, self._invert.input):
            forgotten = event(self._forgotten, None, all_shown, **_FAST)
            loaded = forgotten.then(answering(self._read), given, read, **_FAST)
            self._connect_slow(loaded.success, self._project, label, found)
        self._connect_slow(label[0].input, self._project, label, found)
        self._edit_found.click(
            answering(self._pick_found),
            [self._projected, self._picks],
            [self._tabs, self._picks, *self._edit_outputs()],
            **_FAST,
        )
        self._connect_slow(
            self._complete.click, self._completed, [self._canvas, *label],
            [self._completions],
        )  # fmt: skip

    def _connect_slow(self, event, action, inputs, outputs):
        """Shows what an action finds, if the page still has the action's picture.

        If events arrive while it runs, only the last one starts it again.
        """
        result = gr.State()

        def found(image, result):
            is_current = result is not None and result[0] is image
            values = result[1:] if is_current else [gr.skip()] * len(outputs)
            return values if len(outputs) > 1 else values[0]

        inputs = [self._image, *inputs]
        event(
            answering(action), inputs, result, trigger_mode="always_last",
            show_progress_on=outputs, **_SLOW,
        ).success(found, [self._image, result], outputs, **_FAST)  # fmt: skip

    def _edit_outputs(self):
        """What a new pick changes in the tab "Edit"."""
        controls = [self._edit_label, self._share, *self._amounts]
        return [self._edited, self._way, *controls]

    def _downloads(self, button, suffix, write, inputs):
        """Lets a button write a file, and the browser fetch it."""
        button.click(
            answering(functools.partial(write, suffix)), inputs, self._file, **_SLOW
        ).success(None, js=_CLICK)

    # === Actions ===

    def _draw(self, count, seed, label, truncation, reject, picks):
        truncation = None if truncation == 1 else truncation
        drawn = self.studio.draw(
            int(count), int(seed or 0), _class(label), truncation, reject
        )
        if picks is not None and picks.chosen:
            # The samples that the user edits stay.
            kept = [gr.skip()] * len(self._edit_outputs())
            return _shown(self.studio.grid(drawn)), drawn, picks.elsewhere(), *kept
        second = min(1, len(drawn) - 1)
        picks = Picks(drawn.pick(0), drawn.pick(second), 0, second)
        grid = self.studio.grid(drawn, 0, second)
        return _shown(grid), drawn, picks, *self._restart(picks)

    def _pick(self, drawn, picks, role, event: gr.SelectData):
        _check_there(drawn)
        number = self.studio.number_at(drawn, *event.index)
        picks = picks.replaced(role, drawn.pick(number), number)
        grid = self.studio.grid(drawn, picks.first_number, picks.second_number)
        return gr.Tabs(selected="edit"), _shown(grid), picks, *self._restart(picks)

    def _restart(self, picks):
        """Returns what `_edit_outputs` show of new picks."""
        unchanged = [_NO_CLASS, 0.0, *(0.0 for _ in self._amounts)]
        return *self._edit(picks, *unchanged), *unchanged

    def _edit(self, picks, label, share, *amounts):
        _check_there(picks)
        studio, label = self.studio, _class(label)
        now = studio.edit(picks.first, picks.second, amounts, share, label)
        way = studio.edit(
            picks.first, picks.second, amounts, np.linspace(0, 1, 7), label
        )
        picture = grids.enlarge(grids.visible(now.samples[0], studio.spec), _SIDE)
        return _shown(picture), _shown(studio.picture(way.samples, columns=7))

    def _forgotten(self):
        """Returns what `_read` and `_project` show where there is no picture."""
        return None, None, None, _FIND, None, None, None, gr.Button(interactive=False)

    def _read(self, path, invert):
        _check_there(path, "a picture", "drop a file first")
        image = self.studio.load(path, invert)
        shown = grids.enlarge(grids.visible(image, self.studio.spec), _SIDE)
        shown = np.broadcast_to(shown, (*shown.shape[:2], 3)).copy()
        canvas = {"background": shown, "layers": [], "composite": None}
        return image, canvas, None

    def _project(self, image, label):
        if image is None:  # its class was chosen first
            return None
        found, error, neighbours = self.studio.project(image, _class(label))
        text = (
            f"Root mean squared error of a pixel: {error**0.5:.3f}, where black to "
            "white is 1."
        )
        if found.label is not None:
            names = dict(
                zip(self.studio.class_numbers, self.studio.class_names, strict=True)
            )
            text += f" Its class: {html.escape(names[found.label])}."
        both = np.stack([image, found.samples[0]])
        pair = _shown(self.studio.picture(both, columns=2))
        near = _shown(self.studio.picture(neighbours.samples, columns=3))
        return image, text, pair, near, found, gr.Button(interactive=True)

    def _pick_found(self, found, picks):
        picks = picks.replaced("first", found, None)
        return gr.Tabs(selected="edit"), picks, *self._restart(picks)

    def _completed(self, image, canvas, label):
        _check_there(image, "a picture", "drop a file first")
        hidden = np.zeros(self.studio.spec.shape[:2], bool)
        for layer in (canvas or {}).get("layers", ()):
            hidden = layer[..., 3] > 0
        completions = self.studio.complete(image, hidden, _class(label))
        return image, _shown(self.studio.picture(completions, columns=3))

    def _trained(self):
        snapshots = [
            (_shown(grids.resize_within(picture, _SIDE)), f"epoch {epoch}")
            for epoch, picture in self.studio.snapshots()
        ]
        return self.studio.curves(), snapshots

    def _health(self):
        found = self.studio.diagnosis()
        return f"### {found.state.capitalize()}\n{found.explanation}"

    def _drawn_file(self, suffix, drawn, seed):
        _check_there(drawn)
        path = self._files.new(f"{self.studio.name}_seed{int(seed or 0)}.{suffix}")
        self.studio.write(path, drawn)
        return str(path)

    def _edited_file(self, suffix, picks, label, share, *amounts):
        _check_there(picks)
        path = self._files.new(f"{self.studio.name}_edited.{suffix}")
        label = _class(label)
        if suffix == "gif":
            film = self.studio.film(picks.first, picks.second, amounts, label)
            path.write_bytes(film)
        else:
            drawn = self.studio.edit(picks.first, picks.second, amounts, share, label)
            self.studio.write(path, drawn)
        return str(path)


def _image(title, name, height=None, classes="pixels"):
    """Returns an image that the page shows, below its title.

    Args:
        title: str. gradio's own label would lie on the image.
        name: str, the element's id.
        height: int, pixels, or None.
        classes: str, CSS classes.
    """
    gr.Markdown(title)
    return gr.Image(
        show_label=False, format="png", interactive=False, buttons=[], height=height,
        elem_classes=classes, elem_id=name, alt_text=title,
    )  # fmt: skip


def _check_there(state, what="samples on the page", remedy="reload it"):
    """Raises ValueError where a page has lost what it has drawn, or was given none."""
    if state is None:
        raise ValueError(f"Expected {what}. Received: none; {remedy}")


def _class(chosen):
    """Returns the class of a choice, or None."""
    return None if chosen == _NO_CLASS else chosen


def _shown(picture):
    """Returns a picture `(H, W, 1 or 3)` as gradio takes it: grey as `(H, W)`."""
    return picture[..., 0] if picture.shape[-1] == 1 else picture


# What the sliders' ends mean.
_ENDS = {
    "thickness": "Thin strokes on the left, thick on the right.",
    "slant": "Leans to the left, or to the right.",
    "width": "Narrow, or wide.",
    "brightness": "Darker, or brighter.",
    "contrast": "Flat, or full of contrast.",
    "warmth": "Bluer, or redder.",
}

"""A local page to play with a generator: `keras-gan demo`.

- `studio`: `Studio`, what the page can do with a model, without a page.
- `limits`: what one action may take, and how it is held to that.
- `page`: the page, by gradio, from the extra `demo`.
- `server`: serves the page on one address.
"""

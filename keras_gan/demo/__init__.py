"""A local page to play with a generator: `keras-gan demo`.

- `studio`: `Studio`, what the page can do with a model, without a page.
- `drawn`: samples, and those that a user has picked.
- `limits`: what one action may take, and how it is held to that.
- `downloads`: the files that are downloaded.
- `answers`: sentences, where an action fails.
- `page`: the page, by gradio, from the extra `demo`.
- `server`: serves the page on one address.
"""

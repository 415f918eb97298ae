"""What the web app shows, apart from how it is laid out: scenarios opened safely, runs, differences, charts, texts.

Nothing here knows of Streamlit. Every function takes values of :mod:`simulator`, :mod:`optimizer` or
:mod:`calibration` and gives a value, a text or a plotly figure, so that all of it is tested without a browser.
"""

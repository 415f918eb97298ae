"""The pages of the web app, a file each, and what they share. They lay out; numbers come from :mod:`presentation`."""

"""The sections that answer the three questions of a study: settings, backbones and texture, and several tasks."""

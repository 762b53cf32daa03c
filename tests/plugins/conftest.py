from tests.plugins.packages import plugin_site, third_party  # noqa: F401

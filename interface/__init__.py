"""Page, API endpoints, MCP tools and command line, all generated from the plugin registry."""

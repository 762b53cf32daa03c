"""The page, the named endpoints, the MCP tools and the command line, all made from the plugin registry."""

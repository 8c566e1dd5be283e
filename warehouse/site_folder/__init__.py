"""The folder of a published site: what it holds, drafts of a new site, and how one replaces the other."""

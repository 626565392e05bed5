"""Catalogue readers for crl-qdrant: tables (CSV, TSV) and folders of images."""

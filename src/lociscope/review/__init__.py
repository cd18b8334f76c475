"""Review: fields that people should label, who labelled them, how far they agree, and the labels as a Catalog."""

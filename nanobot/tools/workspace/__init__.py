"""Tools on the files of a session: its workspace, the uploads of its conversation, the operator's folders."""

"""What the formats of Office have in common: the package, drawings, charts, diagrams, equations."""

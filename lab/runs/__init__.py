"""Running a hypothesis and deciding it: plan, draw controls, measure prompt by prompt, keep, conclude.

What needs the engine (plan, drawing, measure, run) is imported by whoever runs; the rest only reads.
"""

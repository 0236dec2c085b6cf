"""The evaluation of one or several releases as data, plots and a page."""

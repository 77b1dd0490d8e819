"""The commands: command line, studies, reports and plots. Nobody imports them."""

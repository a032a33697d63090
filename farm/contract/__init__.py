"""What both sides of the farm agree on: errors, parameters, spec, plan, messages, states, keys.

Standard library only, so that the client, the coordinator and every worker can import it at no cost.
"""

"""The HTTP layer below the routes: the request pipeline, bodies, problem details, the protocol."""

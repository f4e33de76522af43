"""Whether rows fit the release that serves, before anybody asks for predictions: what is wrong, and how they lie."""

"""How the teller is started, where nothing but its own releases is installed."""

# python -c START PLACE FOLDER SECONDS read|run; this project's packages are at the place.
START = """
import sys
from importlib.util import module_from_spec, spec_from_file_location
for name in ("bentos", "training"):
    place = f"{sys.argv[1]}/{name}"
    first = f"{place}/__init__.py"
    spec = spec_from_file_location(name, first, submodule_search_locations=[place])
    sys.modules[name] = module_from_spec(spec)
from bentos.flavors.elsewhere.teller import main
main()
"""
# python -c START_PYFUNC PLACE FOLDER, of a version with code.
START_PYFUNC = START.replace("elsewhere.teller", "elsewhere.pyfunc")

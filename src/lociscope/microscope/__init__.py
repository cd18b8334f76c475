"""At the microscope: a folder watched while it is filled, and a microscope that is driven."""

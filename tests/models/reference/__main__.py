from tests.models.reference import write

write()

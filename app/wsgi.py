"""What gunicorn serves: ``application``."""

from app.front import make_application

application = make_application()
